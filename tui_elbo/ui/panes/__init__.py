"""The panes of the explorer; none knows another, and none knows a screen."""
