"""The demo: everything a plant runs, started, watched and stopped on one machine by one command."""
