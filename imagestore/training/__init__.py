"""Training a network on stores: datasets, batches, the network and its files."""
