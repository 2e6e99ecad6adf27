-- Deletes the notifications of users ($1), and the dead letters of their mails, which have the same ids.
with deleted as (
    delete from notification where user_id = any ($1) returning id
)
delete from dead_letter_entry
where id = any (array(select id from deleted))
