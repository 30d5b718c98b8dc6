"""The command line against a gateway whose every answer is scripted."""
