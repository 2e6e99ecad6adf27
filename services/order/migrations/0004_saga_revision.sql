-- Which write of a saga this is: who read an order and its saga writes them only if nobody has written since.

alter table saga add column revision bigint not null default 1;
