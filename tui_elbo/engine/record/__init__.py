"""What is read off a step without touching it: terms, sites, parameters, as columns."""
