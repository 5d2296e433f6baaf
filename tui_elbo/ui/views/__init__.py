"""Views over the explorer."""
