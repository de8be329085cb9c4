"""Reads a sealed document back, and accounts for every object of an update before anything is signed. Shares no code with the writers."""
