-- How many events a second the tenant may push; NULL: as many as the setting lets every tenant.
ALTER TABLE tenants ADD COLUMN rate_per_s double precision;
