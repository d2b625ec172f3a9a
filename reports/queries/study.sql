-- The configuration of the study, one row.
SELECT * FROM study
