# StarCraft II for smacv2's battles: that of SMAC's maps; sourced by install.sh.
. containers/smac.sh
