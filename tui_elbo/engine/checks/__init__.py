"""What finds faults: one file a family of rules, and the catalogue that lists them."""
