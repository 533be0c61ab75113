"""Multi-source 2D localizer (Le Moing et al., "Learning multiple sound source 2D localization")."""
