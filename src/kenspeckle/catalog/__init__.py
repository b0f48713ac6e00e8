"""Outside lists to items: folders, tables, naming rules."""
