"""Music in simulated or measured rooms: the data of the 2D localizer."""
