-- A recipient without an address is an erased user: what older events say of them is not stored again.
alter table recipient alter column email drop not null;
