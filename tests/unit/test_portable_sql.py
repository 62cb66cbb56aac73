"""The lint for SQL that runs on both engines: it fires on each forbidden construct, and not on its near miss."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint import portable_sql as lint
from tests.lint.rendering import Project

# What is forbidden, how the lint's words begin, a sample that it must refuse, a near miss that it must let pass.
SAMPLES = [
    # Both accept it and give different results.
    (
        "order by in a window without nulls last",
        "order by in a window",
        "select row_number() over (partition by customer_id order by ordered_at) as position from orders",
        "select row_number() over (partition by customer_id order by ordered_at nulls last) as position from orders",
    ),
    (
        "order by in a named window without nulls last",
        "order by in a window",
        "select lag(ordered_at) over w as a from orders window w as (order by ordered_at nulls last, order_id)",
        "select lag(ordered_at) over w as a from orders window w as (order by ordered_at desc nulls last)",
    ),
    (
        "order by before a frame without nulls last",
        "order by in a window",
        "select count(*) over (order by a rows between unbounded preceding and current row) as n from orders",
        "select count(*) over (order by a nulls last rows between 3 preceding and current row) as n from orders",
    ),
    (
        "a call with commas inside a window's order by",
        "order by in a window",
        "select rank() over (order by coalesce(a, b), c nulls last) as n from orders",
        "select rank() over (order by coalesce(a, b) nulls last, c nulls last) as n from orders order by n",
    ),
    (
        "cast of a fraction to int",
        "a fraction cast to an integer",
        "select cast(total_days / 7 as bigint) as weeks from orders",
        "select cast(floor(total_days / 7) as bigint) as weeks, cast(order_count as bigint) as n from orders",
    ),
    (
        "cast of a rounded fraction that still has decimals",
        "a fraction cast to an integer",
        "select cast(round(gap_days * 1.5, 1) as int) as days from orders",
        "select cast(round(gap_days * 1.5) as int) as days from orders",
    ),
    (
        "division without nullif",
        "division without nullif",
        "select order_count / customer_count as rate from months",
        "select order_count / nullif(customer_count, 0) as rate, order_count / 7 as weekly from months",
    ),
    (
        "remainder without nullif",
        "division without nullif",
        "select order_count % bucket_count as bucket from months",
        "select order_count % 10 as bucket from months",
    ),
    (
        "division by a literal zero",
        "division without nullif",
        "select order_count / 0 as rate from months",
        "select order_count / (nullif(a, 0) * 2) as rate from months",
    ),
    (
        "decimal ÷ decimal",
        "a decimal divided",
        "select net_amount / nullif(gross_amount, 0) as rate from months",
        "select cast(net_amount as double) / nullif(gross_amount, 0) as rate from months",
    ),
    (
        "sum of decimals ÷ count",
        "a decimal divided",
        "select cast(sum(net_amount) / nullif(count(*), 0) as decimal(18, 2)) as average_amount from months",
        "select cast(cast(sum(net_amount) as double) / nullif(count(*), 0) as decimal(18, 2)) as a from months",
    ),
    (
        "avg(decimal)",
        "avg() of a decimal",
        "select avg(net_amount) as average_amount from months",
        "select avg(cast(net_amount as double)) as average_amount, avg(gap_days) as gap_days from months",
    ),
    (
        "an aggregate without a cast to its contract's type",
        "sum() without a cast",
        "select sum(net_amount) as net_amount from months",
        "select cast(sum(net_amount) as decimal(18, 2)) as net_amount from months having sum(net_amount) > 0",
    ),
    (
        "sum(int) without a cast to bigint",
        "sum() without a cast",
        "select coalesce(sum(quantity) over (partition by order_id), 0) as units from lines",
        "select cast(sum(quantity) over (partition by order_id) as bigint) as units from lines",
    ),
    (
        "sum of doubles needs no cast",
        "sum() without a cast",
        "select sum(score) as score from lines",
        "select sum(cast(score as double)) as score, case when sum(quantity) > 0 then 1 end as sold from lines",
    ),
    (
        "a median of decimals without a cast",
        "a median or percentile of a decimal",
        "select median(net_amount) as median_amount from months",
        "select cast(median(net_amount) as decimal(18, 2)) as median_amount, median(gap_days) as gap_days from months",
    ),
    (
        "a percentile of decimals without a cast",
        "a median or percentile of a decimal",
        "select percentile_cont(0.9) within group (order by net_amount) as top_amount from months",
        "select cast(percentile_cont(0.9) within group (order by net_amount) as double) as top_amount from months",
    ),
    (
        "concat() with nulls",
        "concat() differs",
        "select concat(first_name, last_name) as full_name from contacts",
        "select concat_ws(' ', first_name, last_name) as full_name, first_name || last_name as joined from contacts",
    ),
    (
        "max_by when values can be null",
        "max_by() and min_by()",
        "select max_by(email, updated_at) as email from contacts",
        "select max(email) as email from contacts",
    ),
    (
        "regexp_replace",
        "regexp_replace()",
        "select regexp_replace(phone, '[^0-9]', '') as digits from contacts",
        "select replace(phone, '-', '') as digits, regexp_extract(phone, '[0-9]+', 0) as first_digits from contacts",
    ),
    (
        "split",
        "split()",
        "select split(category, '.') as levels from products",
        "select substr(category, 1, 3) as level, is_split from products",
    ),
    (
        "dayofweek",
        "the day of the week",
        "select dayofweek(order_date) as weekday from orders",
        "select day(order_date) as day_of_month, month(order_date) as month_number from orders",
    ),
    (
        "extract(dow)",
        "the day of the week",
        "select extract(dow from order_date) as weekday from orders",
        "select extract(year from order_date) as order_year from orders",
    ),
    (
        "log()",
        "log() is base",
        "select log(amount) as size from orders",
        "select ln(x) as size, log10(x) as y from orders",
    ),
    (
        "count_if()",
        "count_if() of nulls",
        "select cast(count_if(is_paid) as bigint) as paid_count from orders",
        "select cast(count(case when is_paid then 1 end) as bigint) as paid_count from orders",
    ),
    ("hash()", "hash() differs", "select hash(order_id) as k from orders", "select md5(order_id) as hash from orders"),
    (
        "double quotes",
        '"double quotes"',
        'select "order" from orders',
        "select 'say \"order\"' as words from orders",
    ),
    (
        "backslash in a literal",
        "a backslash in a literal",
        r"select regexp_extract(phone, '\d+', 0) as digits from contacts",
        "select regexp_extract(phone, '[0-9]+', 0) as digits from contacts",
    ),
    (
        "date - date",
        "date - date",
        "select last_order_date - first_order_date as span from customers",
        "select last_order_date - 7 as week_before, order_count - return_count as kept from customers",
    ),
    (
        "timestamp - timestamp",
        "date - date",
        "select delivered_at - ordered_at as waited from orders",
        "select delivered_at - interval 1 day as before_at from orders",
    ),
    (
        "date + interval without a cast",
        "date + interval",
        "select order_date + interval 1 month as next_date from orders",
        "select cast(order_date + interval 1 month as date) as next_date, ordered_at + interval 1 day as b from orders",
    ),
    (
        "date + n * interval without a cast",
        "date + interval",
        "select cohort_month + month_number * interval 1 month as month from cohorts",
        "select cast(cohort_month + month_number * interval 1 month as date) as month from cohorts",
    ),
    # One lacks it.
    (
        "qualify",
        "qualify",
        "select a from t qualify row_number() over (order by a nulls last) = 1",
        "select qualified from t where qualified = 1",
    ),
    (
        "select * exclude",
        "select * except",
        "select * exclude (email) from contacts",
        "select * from contacts except select * from erased",
    ),
    (
        "select * replace",
        "select * except",
        "select * replace (lower(email) as email) from contacts",
        "select replace(email, ' ', '') as email from contacts",
    ),
    (
        "with recursive",
        "with recursive",
        "with recursive n as (select 1 as i union all select i + 1 from n where i < 9) select * from n",
        "with n as (select r.n as i from range(0, 9) as r(n)) select * from n",
    ),
    (
        "asof join",
        "asof join",
        "select o.a from orders as o asof join rates as r on o.day >= r.day",
        "select o.a from orders as o inner join rates as r on o.day >= r.day and o.day < r.until",
    ),
    (
        "union all by name",
        "union by name",
        "select a, b from x union all by name select b, a from y",
        "select a, b from x union all select a, b from y",
    ),
    (
        "distinct on",
        "distinct on",
        "select distinct on (customer_id) customer_id, order_id from orders",
        "select distinct customer_id, count(distinct order_id) as n from orders group by customer_id",
    ),
    (
        "row_number() over ()",
        "a ranking or offset function",
        "select row_number() over () as n from orders",
        "select count(*) over () as n, row_number() over (order by order_id nulls last) as position from orders",
    ),
    (
        "lag over a partition without an order",
        "a ranking or offset function",
        "select lag(a) over (partition by b) as n from orders",
        "select lag(a) over w as n from orders window w as (partition by b order by c nulls last)",
    ),
    (
        "struct literal",
        "a struct, list or map literal",
        "select {'a': 1, 'b': 2} as pair from t",
        "select a, b from t",
    ),
    (
        "list literal",
        "a struct, list or map literal",
        "select [1, 2] as numbers from t",
        "select array_agg(a) as numbers from t where a in (1, 2)",
    ),
    (
        "element by position",
        "a struct, list or map literal",
        "select levels[1] as level from t",
        "select cardinality(levels) as level_count from t",
    ),
    (
        "at time zone",
        "at time zone",
        "select ordered_at at time zone 'UTC' as ordered_at from orders",
        "select timezone as zone_name from contacts",
    ),
    (
        "cast as varchar",
        "cast as varchar",
        "select cast(a as varchar) as a, try_cast(b as text) as b from t",
        "select cast(a as string) as a, b as text from t",
    ),
    (
        "varchar with a length",
        "cast as varchar",
        "select cast(a as varchar(10)) as a from t",
        "select substr(cast(a as string), 1, 10) as a from t",
    ),
    ("::", "value::type", "select a::bigint as a from t", "select '::' as a, cast(b as bigint) as b from t"),
    ("//", "// is no division", "select a // 2 as half from t", "select floor(a / 2) as half from t"),
    (
        "merge",
        "merge",
        "merge into t using u on t.a = u.a when matched then update set b = u.b",
        "select merged_at from customer_merges",
    ),
    (
        "median over an ordered window",
        "a median or percentile over an ordered window",
        "select median(gap_days) over (partition by a order by b nulls last) as m from t",
        "select median(gap_days) over (partition by a) as m from t",
    ),
    (
        "count(distinct) over",
        "count(distinct) over",
        "select count(distinct order_id) over (partition by customer_id) as n from t",
        "select count(order_id) over (partition by customer_id) as n from t",
    ),
    # SQL never asks what time it is.
    ("current_date", "SQL never asks", "select current_date as day from t", "select t.current_date from t"),
    ("current_timestamp", "SQL never asks", "select a from t where b < current_timestamp", "select a as today from t"),
    ("now()", "SQL never asks", "select now() as at from t", "select known from t"),
    ("today()", "SQL never asks", "select today() as day from t", "select today from t"),
    # It has a macro.
    (
        "date_diff",
        "a difference of times",
        "select date_diff('day', a_date, b_date) as days from t",
        "select engine_days_between(a_at, b_at) as days from t",
    ),
    (
        "json path",
        "JSON",
        "select properties ->> '$.a' as a from t",
        "select engine_json_text(properties, '$.a') from t",
    ),
    ("json function", "JSON", "select json_extract_string(p, '$.a') as a from t", "select json_extracted from t"),
    ("sha256", "SHA-256", "select sha256(email) as h from t", "select md5(email) as h from t"),
    (
        "regex match",
        "a match by regex",
        "select a from t where regexp_matches(a, '^b')",
        "select a from t where a like 'b%'",
    ),
    ("~", "a match by regex", "select a from t where b ~ 'c'", "select a from t where contains(b, '~')"),
    (
        "string_agg",
        "a list as text",
        "select string_agg(a, ', ') as list from t",
        "select engine_ordered_list(a, b) as list from t",
    ),
    ("strftime", "a date as text", "select strftime(a_date, '%Y') as y from t", "select year(a_date) as y from t"),
    ("quantile", "an approximate", "select approx_quantile(a, 0.5) as m from t", "select median(a) as m from t"),
    ("unnest", "rows out of a list", "select unnest(a) as b from t", "select array_contains(a, b) as c from t"),
    ("timezone()", "a time zone", "select timezone('UTC', a_at) as b from t", "select timezone from t"),
    ("lambda", "a lambda", "select list_transform(a, x -> x + 1) as b from t", "select array_sort(a) as b from t"),
    ("struct function", "a struct, list or map", "select struct_pack(a := 1) as s from t", "select map_name from t"),
]


@pytest.fixture(scope="module")
def project() -> Project:
    return Project()


@pytest.mark.parametrize(("construct", "says", "bad", "good"), SAMPLES, ids=[sample[0] for sample in SAMPLES])
def test_a_forbidden_construct_is_found_and_its_near_miss_is_not(
    construct: str, says: str, bad: str, good: str
) -> None:
    assert any(finding.rule.startswith(says) for finding in lint.findings_of_sql(bad)), construct
    assert lint.findings_of_sql(good) == []


def test_every_rule_has_a_sample() -> None:
    rules = {*lint.TREE_RULES, *lint.TOKEN_RULES}
    unshown = {rule for rule in rules if not any(rule.startswith(sample[1]) for sample in SAMPLES)}
    assert unshown == set()


JINJA_SAMPLES = [
    (
        "dbt's own",
        "select {{ dbt.datediff('a_date', 'b_date', 'day') }} as d from t",
        "select {{ happened('paid_at') }} as d",
    ),
    ("dbt's own", "select {{ dateadd('day', 1, 'a_date') }} as d from t", "select 1 as date_added"),
    ("dbt's own", "select {{ dbt.listagg('a') }} as d from t", "select {# dbt.listagg('a') #} 1 as d"),
    ("current_timestamp()", "select {{ dbt.current_timestamp() }} as d", "select {{ as_of_end() }} as d"),
    ("current_timestamp()", "select '{{ run_started_at }}' as d", "select run_started_at from runs"),
    ("dbt snapshots", "{% snapshot customers %} select 1 as a {% endsnapshot %}", "{# snapshot #} select 1 as a"),
    (
        "ephemeral",
        "{{ config(materialized='ephemeral') }} select 1 as a",
        "{{ config(materialized='table') }} select 1 as a",
    ),
    (
        "merge",
        "{{ config(incremental_strategy='merge') }} select 1 as a",
        "{{ config(incremental_strategy='delete+insert') }} select 1 as a",
    ),
]


@pytest.mark.parametrize(("says", "bad", "good"), JINJA_SAMPLES)
def test_what_jinja_may_not_do_is_found_before_it_is_rendered(project: Project, says: str, bad: str, good: str) -> None:
    assert any(finding.rule.startswith(says) for finding in lint.findings_of_jinja(bad))
    assert lint.findings_of_model(good, project) == []


def test_every_rule_on_jinja_has_a_sample() -> None:
    assert {
        rule for rule in lint.JINJA_RULES if not any(rule.startswith(sample[0]) for sample in JINJA_SAMPLES)
    } == set()


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("models:\n  lifecycle:\n    +materialized: ephemeral\n", "models:\n  lifecycle:\n    +materialized: view\n"),
        ("config:\n  incremental_strategy: merge\n", "config:\n  incremental_strategy: insert_overwrite\n"),
        ("snapshots:\n  - name: a\n", "# snapshots: none\n"),
    ],
)
def test_what_yaml_may_not_set_is_found(bad: str, good: str) -> None:
    assert len(lint.findings_of_yaml(bad)) == 1
    assert lint.findings_of_yaml(good) == []


def make_project(root: Path, *, engine: str = "", macro: str = "") -> Project:
    (root / "dbt_project" / "macros" / "engine").mkdir(parents=True)
    (root / "dbt_project" / "dbt_project.yml").write_text("vars: {columns: [first_amount, second_amount]}\n")
    (root / "dbt_project" / "macros" / "engine" / "time.sql").write_text(engine)
    (root / "dbt_project" / "macros" / "amounts.sql").write_text(macro)
    return Project(root / "dbt_project")


def test_a_construct_that_a_macro_brings_in_is_found_in_the_model_that_calls_it(tmp_path: Path) -> None:
    terms = "{% for c in columns %}sum({{ c }}){{ ' + ' if not loop.last }}{% endfor %}"
    project = make_project(tmp_path, macro=f"{{% macro total(columns) %}}{terms}{{% endmacro %}}")
    findings = lint.findings_of_model("select {{ total(var('columns')) }} as total_amount from t", project)
    assert [finding.snippet for finding in findings] == ["SUM(first_amount)", "SUM(second_amount)"]


def test_what_differs_between_engines_may_stand_in_the_engine_macros(tmp_path: Path) -> None:
    engine = """
        {% macro days(a, b) %}{{ adapter.dispatch('days')(a, b) }}{% endmacro %}
        {% macro duckdb__days(a, b) %}date_diff('day', {{ a }}, {{ b }}){% endmacro %}
    """
    project = make_project(tmp_path, engine=engine)
    assert project.render("{{ days('a_date', 'b_date') }}") == "engine_days(a_date, b_date)"
    assert lint.findings_of_model("select {{ days('a_date', 'b_date') }} as days from t", project) == []
    (tmp_path / "dbt_project" / "macros" / "amounts.sql").write_text(engine)
    (tmp_path / "dbt_project" / "macros" / "engine" / "time.sql").write_text("")
    findings = lint.findings_of_project(tmp_path)
    assert {(Path(finding.file).name, finding.rule) for finding in findings} == {
        ("amounts.sql", "a difference of times: use the macro of macros/engine/")
    }


def test_a_macro_that_returns_early_renders_what_it_returned(tmp_path: Path) -> None:
    project = make_project(
        tmp_path, macro="{% macro pick(a) %}{{ return('cast(' ~ a ~ ' as bigint)') }}no{% endmacro %}"
    )
    assert project.render("select {{ pick('x') }} as x") == "select cast(x as bigint) as x"


def test_a_model_that_cannot_be_rendered_or_parsed_is_a_finding_not_a_gap(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert [f.rule for f in lint.findings_of_model("select {{ no_such_macro() }} as a", project)] == [lint.RENDER_RULE]
    assert [f.rule for f in lint.findings_of_model("select from where", project)] == [lint.PARSE_RULE]


def test_comments_and_literals_are_not_read_as_sql(project: Project) -> None:
    text = "-- now() and \"quotes\"\nselect 'now() :: split(' as words {# current_date #} from {{ ref('stg_orders') }}"
    assert lint.findings_of_model(text, project) == []


def test_the_projects_own_sql_runs_on_both_engines_unchanged() -> None:
    assert [str(finding) for finding in lint.findings_of_project()] == []
