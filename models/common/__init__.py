"""What the models of this zoo share: reading of their data sets, layers, and the graph and Keras ways to
train."""
