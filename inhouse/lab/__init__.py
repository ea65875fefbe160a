"""Throw-away hosts with pretended hardware, to rehearse and to test on."""
