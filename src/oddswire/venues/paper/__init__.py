"""The paper venue: a venue like any other, that trades against nobody's real money."""
