-- Up Migration

-- A function with the rights of its owner is for our triggers alone: nobody may attach it to a table of their own. Our triggers
-- need no such right.
REVOKE ALL ON FUNCTION retrigger_count_dispatch(), retrigger_list_reasons(), retrigger_keep_step() FROM PUBLIC;

-- Down Migration

GRANT EXECUTE ON FUNCTION retrigger_count_dispatch(), retrigger_list_reasons(), retrigger_keep_step() TO PUBLIC;
