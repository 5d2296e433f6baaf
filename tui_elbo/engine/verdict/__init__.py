"""The probe behind the verdict on a run: its newest iterates, and the best that is near them."""
