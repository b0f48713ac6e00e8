"""Price sites: one file a site, one row of the table."""
