"""What panes and views are made of: lines in tiles, tables, the lines at the bottom."""
