"""The HTTP service: native `/v1`, and the surfaces that clients of replaced systems use."""
