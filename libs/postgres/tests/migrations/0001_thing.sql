create table thing (id int not null, constraint thing_pk primary key (id));
