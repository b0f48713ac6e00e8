"""Shapes of the native API, with examples: what comes in (`Asked`) and goes out (`Told`)."""
