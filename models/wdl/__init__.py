"""Wide and deep on Criteo's rows."""
