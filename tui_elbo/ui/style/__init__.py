"""Styles, glyphs, and text made safe to draw."""
