"""What panes and views are made of: lines of text, tables, the lines at the bottom."""
