{% macro consent_record_id() -%}
    {#- A consent has no id of its own: what it says, and when, is its key. -#}
    concat_ws(
        '|',
        coalesce(contact_id, ''),
        coalesce(email, ''),
        coalesce(phone, ''),
        channel,
        purpose,
        cast(changed_at as string)
    )
{%- endmacro %}
