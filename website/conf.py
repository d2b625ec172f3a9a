"""Settings of Sphinx for the documentation site; `website.build` makes its pages and calls it."""

project = "Interpunct"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "Interpunct"
html_theme_options = {"light_css_variables": {"color-brand-primary": "#0072b2", "color-brand-content": "#0072b2"}}
highlight_language = "none"
myst_heading_anchors = 4
myst_links_external_new_tab = False
# DuckDB's SQL, and cron's lines, are more than the highlighter knows; it then shows them plain.
suppress_warnings = ["misc.highlighting_failure"]
