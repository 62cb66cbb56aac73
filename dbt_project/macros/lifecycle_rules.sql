{#-
    The compiler of the lifecycle rules (vars of dbt_project.yml) and of segments' conditions.

    A condition is SQL over the columns of int_lifecycle_facts, the thresholds and the named terms, with two words for
    time that are evaluated at the beginning of an interval, `valid_from_at`:
        within(fact_at, days)   less than `days` have passed since fact_at
        expired(fact_at, days)  `days` or more have passed since fact_at
    `days` is a number, a threshold or a fact. Both change only when something happens or when the clock runs out, so
    the clocks named in the conditions are all the change points there are beside the events.
-#}

{% macro expand_terms(condition) -%}
    {#- The named terms of a condition written out. A term may use earlier ones only, so the last goes first. -#}
    {%- set expanded = namespace(sql=condition) -%}
    {%- for term in var('lifecycle_terms') | reverse -%}
        {%- set expanded.sql = modules.re.sub('\\b' ~ term.id ~ '\\b', '(' ~ term.condition ~ ')', expanded.sql) -%}
    {%- endfor -%}
    {{ return(expanded.sql) }}
{%- endmacro %}

{% macro condition_clocks(conditions) -%}
    {%- set clocks = [] -%}
    {%- for condition in conditions -%}
        {%- for fact, days in modules.re.findall('(?:within|expired)\\((\\w+),\\s*([\\w.]+)\\)', expand_terms(condition)) -%}
            {%- if (fact, days) not in clocks -%}{%- do clocks.append((fact, days)) -%}{%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(clocks) }}
{%- endmacro %}

{% macro compile_condition(condition) -%}
    {%- set compiled = namespace(sql=expand_terms(condition)) -%}
    {%- for fact, days in condition_clocks([condition]) -%}
        {%- set runs_out_at = add_days(fact, days) -%}
        {%- set call = fact ~ ',\\s*' ~ modules.re.escape(days) -%}
        {%- set compiled.sql = modules.re.sub(
            'within\\(' ~ call ~ '\\)',
            '(' ~ fact ~ ' is not null and valid_from_at < ' ~ runs_out_at ~ ')',
            compiled.sql
        ) -%}
        {%- set compiled.sql = modules.re.sub(
            'expired\\(' ~ call ~ '\\)',
            '(' ~ fact ~ ' is not null and valid_from_at >= ' ~ runs_out_at ~ ')',
            compiled.sql
        ) -%}
    {%- endfor -%}
    {{ return(compiled.sql) }}
{%- endmacro %}

{% macro compile_sentence(sentence) -%}
    {#-
        'no order for {days:last_paid_at}' as an SQL text. It is said of `valid_from_at`, and read later: so a time lies
        some days before, and not ago. What is not known reads 'unknown'.
    -#}
    {%- set parts = modules.re.split('\\{(\\w+):(\\w+)\\}', sentence) -%}
    {%- set texts = [] -%}
    {%- for index in range(0, parts | length, 3) -%}
        {%- if parts[index] -%}
            {%- do texts.append("'" ~ (parts[index] | replace("'", "''")) ~ "'") -%}
        {%- endif -%}
        {%- if index + 2 < parts | length -%}
            {%- do texts.append(compile_placeholder(parts[index + 1], parts[index + 2], sentence)) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(texts | join(' || ')) }}
{%- endmacro %}

{% macro compile_placeholder(kind, fact, sentence) -%}
    {%- set since = 'floor(' ~ days_between(fact, 'valid_from_at') ~ ')' -%}
    {%- set rounded = since if fact.endswith('_at') else 'round(' ~ fact ~ ')' -%}
    {%- set number = 'cast(' ~ rounded ~ ' as bigint)' -%}
    {%- set counted = 'cast(' ~ number ~ ' as string)' -%}
    {%- if kind == 'text' -%}
        {{ return("replace(coalesce(" ~ fact ~ ", 'unknown'), '_', ' ')") }}
    {%- elif kind in ('days_since', 'whole') -%}
        {{ return("coalesce(" ~ counted ~ ", 'unknown')") }}
    {%- elif kind == 'days' -%}
        {{ return(
            "coalesce(" ~ counted ~ " || case when " ~ number ~ " = 1 then ' day' else ' days' end, 'an unknown number of days')"
        ) }}
    {%- elif kind == 'before' -%}
        {{ return(
            "case when " ~ number ~ " < 1 then 'just before' when " ~ number ~ " = 1 then '1 day before'"
            ~ " else coalesce(" ~ counted ~ " || ' days before', 'at an unknown time') end"
        ) }}
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            "A sentence knows before, days, days_since, whole and text, not '" ~ kind ~ "': " ~ sentence
        ) }}
    {%- endif -%}
{%- endmacro %}

{% macro rule_cases() -%}
    {#- The rules in order, each of its signs a case of its own: rule, sign, stage, condition, sentence, evidence. -#}
    {%- set cases = [] -%}
    {%- for rule in var('lifecycle_rules') -%}
        {%- for case in rule.get('signs', [rule]) -%}
            {%- do cases.append({
                'rule': rule.id,
                'sign': case.id if 'signs' in rule else none,
                'stage': rule.stage,
                'condition': case.condition,
                'sentence': case.sentence,
                'evidence': case.evidence,
            }) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(cases) }}
{%- endmacro %}

{% macro rule_case_number() -%}
    {#- The number of the first case whose condition holds: the conditions are looked at once. -#}
    case
        {%- for case in rule_cases() %}
            when {{ compile_condition(case.condition) }} then {{ loop.index }}
        {%- endfor %}
        end
{%- endmacro %}

{% macro rule_case_field(field) -%}
    {#- What the case of number `rule_case` stands for: its rule, sign or stage. -#}
    case rule_case
        {%- for case in rule_cases() %}
            {%- if case[field] is not none %}
            when {{ loop.index }} then '{{ case[field] }}'
            {%- endif %}
        {%- endfor %}
        end
{%- endmacro %}

{% macro by_rule_and_sign(values) -%}
    case
        {%- for case in rule_cases() %}
            when rule_id = '{{ case.rule }}'
                {%- if case.sign is not none %} and sign_id = '{{ case.sign }}'{% endif %} then {{ values[loop.index0] }}
        {%- endfor %}
        end
{%- endmacro %}

{% macro rule_sentence_case() -%}
    {#- Why somebody is in a stage, in words, by rule_id and sign_id. -#}
    {%- set sentences = [] -%}
    {%- for case in rule_cases() -%}{%- do sentences.append(compile_sentence(case.sentence)) -%}{%- endfor -%}
    {{ by_rule_and_sign(sentences) }}
{%- endmacro %}

{% macro rule_evidence_case() -%}
    {#- The moment of the event that caused a stage, by rule_id and sign_id. -#}
    {{ by_rule_and_sign(rule_cases() | map(attribute='evidence') | list) }}
{%- endmacro %}

{% macro risk_reason_case() -%}
    {#- The first sign of leaving that holds, whatever the stage. -#}
    case
        {%- for risk in var('lifecycle_risks') %}
            when {{ compile_condition(risk.condition) }} then '{{ risk.id }}'
        {%- endfor %}
        end
{%- endmacro %}

{% macro lifecycle_rule_clocks() -%}
    {{ return(condition_clocks(
        rule_cases() | map(attribute='condition') | list
        + var('lifecycle_risks') | map(attribute='condition') | list
        + var('lifecycle_flags') | map(attribute='condition') | list
    )) }}
{%- endmacro %}

{% macro split_at_clocks(intervals, clocks, columns) -%}
    {#-
        The intervals, each divided at the moments strictly inside it at which one of the clocks runs out. `intervals`
        is a CTE with valid_from_at, valid_to_at (null: until the end of the run's day), the facts and the thresholds;
        `columns` are taken over from it.
    -#}
    {%- set moments = [] -%}
    {%- for fact, days in clocks -%}{%- do moments.append(add_days(fact, days)) -%}{%- endfor -%}
    select
        {{ list_columns(columns) }},
    {%- if clocks %}
        {{ unnest_intervals('valid_from_at', 'crossed_at', 'valid_to_at', 'valid_from_at', 'valid_to_at') }}
    from (
        select
            *,
            {{ moments_between(moments, 'valid_from_at', 'coalesce(valid_to_at, ' ~ as_of_end() ~ ')') }} as crossed_at
        from {{ intervals }}
    ) as intervals_crossed
    {%- else %}
        valid_from_at,
        valid_to_at
    from {{ intervals }}
    {%- endif %}
{%- endmacro %}
