"""What a gradient costs: its noise with each estimator, and short runs at other learning rates."""
