"""What a study may ask beyond the variance of its networks: each module measures or answers one thing."""
