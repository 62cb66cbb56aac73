{% macro rfm_group(recency, frequency, monetary) -%}
    {#-
        The name of an RFM cell. Frequency and monetary quintile are averaged (FM); the tiling of FM x recency follows
        Shopify's group names, the borders between them are ours (docs/lifecycle.md).
    -#}
    {%- set fm = '((' ~ frequency ~ ' + ' ~ monetary ~ ') / 2.0)' -%}
    case
        when {{ recency }} is null then 'prospects'
        when {{ fm }} >= 4 and {{ recency }} = 5 then 'champions'
        when {{ fm }} >= 4 and {{ recency }} >= 3 then 'loyal'
        when {{ fm }} >= 4.5 then 'previously_loyal'
        when {{ fm }} >= 4 then 'at_risk'
        when {{ fm }} > 2 and {{ recency }} >= 4 then 'active'
        when {{ fm }} > 2 and {{ recency }} = 3 then 'needs_attention'
        when {{ fm }} > 2 then 'at_risk'
        when {{ recency }} = 5 then 'new'
        when {{ recency }} = 4 then 'promising'
        when {{ recency }} = 3 then 'almost_lost'
        else 'dormant'
    end
{%- endmacro %}
