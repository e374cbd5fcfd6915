"""Where it is kept, and how a node hears of news."""
