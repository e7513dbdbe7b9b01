"""How a report looks: one document of sections and tables, shown in a terminal, as Markdown, HTML or JSON."""
