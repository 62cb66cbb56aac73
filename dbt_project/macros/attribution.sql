{#- What the attribution models share: their names, and how a total is divided to the cent. -#}

{% macro attribution_models() -%}
    {{ return(['first_touch', 'last_touch', 'linear', 'position_based', 'time_decay', 'markov']) }}
{%- endmacro %}

{% macro per_model(text, indent=8, models=none) -%}
    {#- A column for every model: the text with the model's name in place of {model}. -#}
    {%- set columns = [] -%}
    {%- for model in models or attribution_models() -%}
        {%- do columns.append(text | replace('{model}', model)) -%}
    {%- endfor -%}
    {{ columns | join(',\n' ~ ' ' * indent) }}
{%- endmacro %}

{% macro per_dividing_model(text, indent=8) -%}
    {#- Likewise for the models that divide an order; the others give all of it to one touch. -#}
    {{ per_model(text, indent, attribution_models()[2:]) }}
{%- endmacro %}

{% macro model_rows() -%}
    {#- The rows of a `values` with every model's name. -#}
    ('{{ attribution_models() | join("'), ('") }}')
{%- endmacro %}

{% macro of_model(models, relation, suffix) -%}
    {#- The column of `relation` that belongs to the model which a row of `models` names. -#}
    case {{ models }}.attribution_model
        {%- for model in attribution_models() %}
            when '{{ model }}' then {{ relation }}.{{ model }}_{{ suffix }}
        {%- endfor %}
        end
{%- endmacro %}

{% macro exact_weight(column) -%}
    {#- Weights are added as decimals: a sum of doubles depends on the order in which an engine happens to add them. -#}
    cast(round({{ column }}, 12) as decimal(18, 12))
{%- endmacro %}

{% macro allocated_amounts(shares, amount) -%}
    {#-
        CTEs that divide `amount` of every order among its rows of the CTE `shares`, for each model by its share, so that
        the parts add up to it exactly: each part is cut off at the cent, and the cents that are left go to the largest
        remainders, of equal ones to the row that was touched first. A negative amount is divided like a positive one.
        `shares` has order_key, place (1 for the row that was touched first), state_count (rows of the order) and a
        `_share` per model; what comes out is `allocated`, with all columns of `shares` and an `_amount` per model.
        Where one row gets everything nothing has to be divided; remainders are only sorted where there are more than two.
    -#}
    cents as (
        select
            *,
            case when {{ amount }} < 0 then -1 else 1 end as amount_sign,
            cast(round(cast(abs({{ amount }}) as decimal(20, 2)) * 100) as bigint) as total_cents
        from {{ shares }}
    ),

    -- Six digits: what lies behind them is noise of the division, and must not decide between equal remainders.
    cents_exact as (
        select
            *,
            {{ per_dividing_model('round({model}_share * total_cents, 6) as {model}_exact', 12) }}
        from cents
    ),

    cents_cut as (
        select
            *,
            {{ per_dividing_model('cast(floor({model}_exact) as bigint) as {model}_cents', 12) }},
            {{ per_dividing_model('round({model}_exact - floor({model}_exact), 6) as {model}_rest', 12) }}
        from cents_exact
    ),

    orders_cut as (
        select
            order_key,
            {{ per_dividing_model('cast(sum({model}_cents) as bigint) as {model}_cents', 12) }},
            {{ per_dividing_model('cast(sum({model}_rest) as double) as {model}_rest', 12) }}
        from cents_cut
        where state_count > 1
        group by order_key
    ),

    rests_ranked as (
        select
            order_key,
            place,
            {{ per_dividing_model(
                'row_number() over (partition by order_key order by {model}_rest desc nulls last, place asc nulls last)'
                ~ ' as {model}_rank',
                12
            ) }}
        from cents_cut
        where state_count > 2
    ),

    cents_left as (
        select
            cents_cut.*,
            {{ per_dividing_model(
                'coalesce(cents_cut.total_cents - orders_cut.{model}_cents, 0) as {model}_left', 12
            ) }},
            {{ per_dividing_model(
                'coalesce(rests_ranked.{model}_rank, case when 2 * cents_cut.{model}_rest > orders_cut.{model}_rest'
                ~ ' or (2 * cents_cut.{model}_rest = orders_cut.{model}_rest and cents_cut.place = 1) then 1 else 2 end)'
                ~ ' as {model}_rank',
                12
            ) }}
        from cents_cut
        left join orders_cut on cents_cut.order_key = orders_cut.order_key
        left join rests_ranked
            on cents_cut.order_key = rests_ranked.order_key
            and cents_cut.place = rests_ranked.place
    ),

    -- Beyond 15 digits the division itself is off by cents; whatever is left is spread, so that the sum stays exact.
    cents_spread as (
        select
            *,
            {{ per_dividing_model(
                'cast(floor(cast({model}_left as double) / nullif(state_count, 0)) as bigint) as {model}_each', 12
            ) }}
        from cents_left
    ),

    cents_given as (
        select
            *,
            {{ per_dividing_model(
                'amount_sign * ({model}_cents + {model}_each + case when {model}_rank <= {model}_left'
                ~ ' - {model}_each * state_count then 1 else 0 end) as {model}_given',
                12
            ) }}
        from cents_spread
    ),

    allocated as (
        select
            *,
            {{ per_model(
                'cast(case when {model}_share = 1 then ' ~ amount ~ ' else 0 end as decimal(18, 2)) as {model}_amount',
                12,
                ['first_touch', 'last_touch']
            ) }},
            {{ per_dividing_model(
                'cast(cast({model}_given as decimal(18, 0)) * 0.01 as decimal(18, 2)) as {model}_amount', 12
            ) }}
        from cents_given
    )
{%- endmacro %}
