"""Services of others, at the edge of the house: price sites and rates of exchange."""
