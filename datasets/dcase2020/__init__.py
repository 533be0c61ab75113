"""Recordings of moving sound events in reverberant rooms, in the layout of the DCASE 2020 data set."""
