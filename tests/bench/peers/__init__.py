"""Other people's software, measured as shipped. What runs in the peers' own environment (`make bench-peers`) imports
nothing of Everline."""
