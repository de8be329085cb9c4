-- Three databases with an account each, for an office on PostgreSQL: no service reaches another's, nor keeps it busy with locks, sessions or
-- temporary files. The OCSP responder reads the CA's record and writes its answers.
--   psql -v ON_ERROR_STOP=1 -f deploy/databases.sql postgres
-- Run it as an administrator of the server before the services start, and once more when the CA has made its tables: then the responder has its
-- rights. Running it again changes nothing. How accounts prove themselves (pg_hba.conf, passwords) is yours. Let max_connections be well above the
-- sessions that stand here, so that nobody takes the signer's; replicas need more of them.
\set QUIET on

SELECT format('CREATE ROLE %I LOGIN CONNECTION LIMIT %s', name, sessions)
  FROM (VALUES ('vermilion_signer', -1), ('vermilion_ca', 30), ('vermilion_ocsp', 20), ('vermilion_workflow', 40)) AS wanted (name, sessions)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
SELECT format('CREATE DATABASE %1$I OWNER %1$I', name)
  FROM unnest(ARRAY['vermilion_signer', 'vermilion_ca', 'vermilion_workflow']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec

REVOKE ALL ON DATABASE vermilion_signer, vermilion_ca, vermilion_workflow FROM PUBLIC;
GRANT CONNECT ON DATABASE vermilion_ca TO vermilion_ocsp;

\connect vermilion_signer
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO vermilion_signer;
\connect vermilion_workflow
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO vermilion_workflow;
\connect vermilion_ca
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO vermilion_ca;
GRANT USAGE ON SCHEMA public TO vermilion_ocsp;
SELECT 'GRANT SELECT ON certificates TO vermilion_ocsp; GRANT SELECT, INSERT, DELETE ON ocsp_answers TO vermilion_ocsp'
 WHERE to_regclass('public.certificates') IS NOT NULL \gexec
