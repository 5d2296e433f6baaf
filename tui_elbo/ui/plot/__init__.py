"""What a drawing needs before a character of it is drawn: reduced columns, axes, ticks, labels.

Pure functions of data and size, without a widget and without a plotting library.
"""
