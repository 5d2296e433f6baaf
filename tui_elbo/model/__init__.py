"""What both sides know of a run, as plain numbers and text; no torch, no screen."""
