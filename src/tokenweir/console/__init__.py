"""The console: pages for people over what the admin API and the ledger's views tell.

How a page is added, in four places and without a line of HTML scaffolding:

1. A module `page_NAME.py` with a function `show(visit: Visit) -> Shown`. It runs in a thread of its own and may read as it
   likes: `visit.db` is the ledger opened read-only, `visit.asked` is what an operation of the admin API is given,
   `visit.accounts` is whose rows may be shown (None: everybody's), `visit.period()` is the span that the query string
   asks for, with `.before` for the one before it. It returns the template's name, tables, charts and whatever else the
   template is to know.
2. A row in `pages.PAGES`: name, path below `/console`, the function, the resource of `admin.rights` that one must be allowed
   to GET, and the group of the navigation it stands in ("" for none). Forms are rows in the page's `forms`: a word that the form's
   `action` field holds, and a function `(visit, fields) -> Outcome` that calls an operation by `visit.do("create_key", …)`:
   the same checks and the same audit as over HTTP.
3. A template `templates/NAME.html` that extends `base.html` and fills the block `content`. Macros of `parts.html`: `table(tables.x)`,
   `tiles(…)`, `chart(charts.x)`, `bar(…)`, `money(…)`, `empty(…)`, `command(…)`, `period_form(…)`. Numbers go through `f`
   (`visit.format`): `f.n`, `f.compact`, `f.money`, `f.when`, `f.ms`, `f.share`. No text stands in a template: `t("NAME.title")`.
4. Words in `words/en/NAME.toml` and `words/zh/NAME.toml`: the file's name is the first part of each word's key. `t("NAME.x", n=3)` fills
   `{n}`. A column `Column("calls", "number")` of a table with `words="NAME"` is headed by the word `NAME.col_calls`, or `col.calls` where
   that file has none; the page's own name stands in `nav.NAME`.

A `Table` holds plain values (integers, pico by currency, microseconds); it can be sorted by each column, and `?format=csv&table=NAME` answers the same
rows as CSV. A `Chart` holds labels and series; it is drawn by plotly, and is also a table for those who do not see it. The state of a page is its
query string, so that a page can be sent to somebody else: build links with `visit.link(range="7d")`.
"""
