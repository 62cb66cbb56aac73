{#-
    95 % intervals of what surveys measure (docs/metrics-experience.md). Bounds are rounded to six decimals: that is
    finer than any sample, and both engines agree on it.
-#}

{% macro normal_975() -%}
    {#- The 97.5 % quantile of the normal distribution. -#}
    cast(1.959963984540054 as double)
{%- endmacro %}

{% macro student_975(degrees) -%}
    {#-
        The 97.5 % quantile of Student's t: the expansion in 1 / degrees, Abramowitz and Stegun (1964) 26.7.5, with the
        normal quantile put in. 0.1 % off at three degrees of freedom, 0.001 % at ten.
    -#}
    (
        {{ normal_975() }}
        + cast(2.372271230298562 as double) / nullif({{ degrees }}, 0)
        + cast(2.8224986157396112 as double) / nullif(power({{ degrees }}, 2), 0)
        + cast(2.555849679507722 as double) / nullif(power({{ degrees }}, 3), 0)
        + cast(1.5895340533938225 as double) / nullif(power({{ degrees }}, 4), 0)
    )
{%- endmacro %}

{% macro nps_bound(promoters, detractors, answers, sign) -%}
    {#-
        One end ('-' or '+') of the adjusted Wald interval of a net promoter score, in points: three answers are added,
        3/4 promoter, 3/4 detractor and 1 1/2 passive (Rocks 2016, after Bonett and Price 2012). Null without answers. (greatest and least pass over nulls.)
    -#}
    case
        when {{ answers }} > 0 and {{ promoters }} is not null
            then round(
                greatest(
                    -100,
                    least(
                        100,
                        100 * (
                            (cast({{ promoters }} as double) - {{ detractors }}) / nullif({{ answers }} + 3, 0)
                            {{ sign }} {{ normal_975() }} * sqrt(
                                (
                                    (cast({{ promoters }} as double) + {{ detractors }} + 1.5) / nullif({{ answers }} + 3, 0)
                                    - power(
                                        (cast({{ promoters }} as double) - {{ detractors }}) / nullif({{ answers }} + 3, 0),
                                        2
                                    )
                                ) / nullif({{ answers }} + 3, 0)
                            )
                        )
                    )
                ),
                6
            )
    end
{%- endmacro %}

{% macro wilson_bound(successes, trials, sign) -%}
    {#- One end ('-' or '+') of the score interval of a share (Wilson 1927). Null without trials. -#}
    case
        when {{ trials }} > 0 and {{ successes }} is not null
            then round(
                greatest(
                    0,
                    least(
                        1,
                        (
                            cast({{ successes }} as double) / nullif({{ trials }}, 0)
                            + power({{ normal_975() }}, 2) / nullif(2 * {{ trials }}, 0)
                            {{ sign }} {{ normal_975() }} * sqrt(
                                (
                                    cast({{ successes }} as double) / nullif({{ trials }}, 0)
                                    * (1 - cast({{ successes }} as double) / nullif({{ trials }}, 0))
                                    + power({{ normal_975() }}, 2) / nullif(4 * {{ trials }}, 0)
                                ) / nullif({{ trials }}, 0)
                            )
                        )
                        / nullif(1 + power({{ normal_975() }}, 2) / nullif({{ trials }}, 0), 0)
                    )
                ),
                6
            )
    end
{%- endmacro %}
