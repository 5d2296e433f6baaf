"""The output that is kept: bounded, whole lines, the newest."""

from __future__ import annotations

from tui_elbo.client.output import MAX_CHARS, MAX_LINE, MAX_LINES, Output


def fed(*pieces: bytes) -> Output:
    output = Output()
    for piece in pieces:
        output.feed(piece)
    return output


def test_lines_come_together_from_pieces():
    assert fed(b"a\nb", b"c\n", b"d").shown() == ["a", "bc", "d"]


def test_a_character_may_be_cut_in_two():
    assert fed("é\n".encode()[:1], "é\n".encode()[1:]).shown() == ["é"]


def test_bytes_that_are_no_text():
    assert fed(b"\xff\xfe\n").shown() == ["\ufffd\ufffd"]


def test_a_progress_bar_draws_over_itself():
    assert fed(b"\r10%", b"\r20%", b"\r30%\ndone\r\n").shown() == ["30%", "done"]
    assert fed(b"\r10%\r20%").shown() == ["20%"]


def test_lines_beyond_the_bound_are_counted():
    output = fed(b"".join(b"%d\n" % i for i in range(MAX_LINES + 7)))
    assert output.dropped == 7
    assert output.total == MAX_LINES + 7
    assert output.shown()[-1] == str(MAX_LINES + 6)


def test_no_newline_at_all_is_bounded_too():
    output = fed(*[b"x" * 65536] * 200)
    assert sum(map(len, output.shown())) <= MAX_CHARS + MAX_LINE
    assert max(map(len, output.shown())) <= MAX_LINE


def test_a_warning_does_not_mix_with_an_unfinished_line():
    output = fed(b"half")
    output.warn("UserWarning", "two\nlines")
    output.feed(b" and half\n")
    assert output.shown() == ["half", "UserWarning: two", "lines", " and half"]
    assert output.warnings == 1
