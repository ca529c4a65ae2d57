"""Wide-and-deep on UCI Adult, its input written in the graph."""
