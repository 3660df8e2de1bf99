
# A rule for nginx's Makefile: the page of atls_status as a C source.

ngx_http_atls_parts=`echo $ngx_addon_dir/src/page/*`

cat << END                                                    >> $NGX_MAKEFILE

$ngx_http_atls_page:	$ngx_addon_dir/tools/page.sh $ngx_http_atls_parts
	sh $ngx_addon_dir/tools/page.sh >\$@.new
	mv \$@.new \$@

END
