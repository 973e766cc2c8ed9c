"""Models on this machine: what a name means, where its files lie, what they say."""
